"""References: the course's solutions of the exercises, a module per lesson.

Never edited: course build writes them. The name of a module begins with a digit, so it is imported
with importlib.import_module.
"""
