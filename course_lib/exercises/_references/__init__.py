"""References: solved functions out of the lessons' sources, a module per lesson.

Never edited: course build writes them. The name of a module begins with a digit, so it is imported
with importlib.import_module.
"""
