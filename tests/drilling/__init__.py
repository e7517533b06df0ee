"""What goes wrong in days of running, done on purpose. tests/drills.py runs it."""
