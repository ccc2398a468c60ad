"""What must hold when a trial is over, one promise a file: pure functions that read the evidence, count what they look
at, and yield each violation as a sentence.
"""
