"""Lesson 00: how much was an image changed? A prediction and a quiz."""
