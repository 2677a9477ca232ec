"""A matrix of DICOM files: some hundreds, so chosen that each pair of values of two parameters occurs in one of them.

pairwise.py      choice of the files
recipes.py       the parameters of a file
parameters.py    the recipes: which values the standard allows together, and the choice
pictures.py      stored values of a file
tables.py        lookup tables, and the elements that carry them
codestreams.py   frames in every transfer syntax
structures.py    functional groups, lengths of sequences, unknown elements
writer.py        a recipe to the bytes of a file, and what the standard says about its picture
"""
