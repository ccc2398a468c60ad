"""What every process counts about itself, in plain dictionaries, and how processes see each other's counts."""
