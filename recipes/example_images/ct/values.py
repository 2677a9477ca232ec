"""Tissues in Hounsfield units, in the late arterial phase of a contrast medium: the liver is not enhanced yet."""

AIR = -1000.0
LUNG = -850.0
FAT = -100.0
WATER = 5.0
SOFT_TISSUE = 40.0
MUSCLE = 55.0
LIVER = 60.0
SPLEEN = 115.0
HEART_WALL = 95.0
BLOOD = 210.0
RENAL_CORTEX = 175.0
RENAL_MEDULLA = 70.0
MARROW = 190.0
BONE = 700.0
SPINAL_CORD = 42.0
