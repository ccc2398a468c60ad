"""The processes behind the line: booking workers decide, task workers do what is not in the line."""
