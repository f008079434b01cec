"""Draws docs/pictures/*.svg: how the policies work out in time. What is drawn is read from the records of runs in virtual time."""
