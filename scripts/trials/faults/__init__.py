"""What a trial does to an installation, by what it is done to."""
