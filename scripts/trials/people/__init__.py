"""The people of a trial: who book, repeat, leave, cancel, wait and pry, and write down every answer."""
