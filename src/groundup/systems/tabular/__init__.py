"""A table in, a judged and explained model out, by what the classical units hold.

table.py     reads a CSV file, says what each column is and what is wrong with it
pipeline.py  encodes, cross-validates every candidate, judges the chosen one once on rows kept apart, explains it
saved.py     the model as a folder of JSON and NumPy arrays, which runs nothing when it is opened
"""
