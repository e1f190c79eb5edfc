"""A table in, a judged and explained model out, by the classical units.

table.py     reads a CSV file, gives each column a kind and warns of its faults
pipeline.py  encodes, cross-validates every candidate, judges the chosen model once on held-out rows, explains it
saved.py     the model as a folder of JSON and NumPy arrays; opening it runs no code of the folder
"""
