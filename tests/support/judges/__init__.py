"""Independent judges of rendered DICOM files. Nothing here imports a decoder of the product.

standard.py                      the formulas of PS3.3, in numpy: stored values to greys or colours
gdcm.py                          stored values of a file, decoded by GDCM
dcmtk.py                         pictures of a file, decoded and rendered by DCMTK's programs
dicom_matrix.py                  the judges' pictures of the files of the matrix
dicom_matrix_differences.py      why a judge may differ from the product on them
published_dicom.py               the judges' pictures of published files
published_dicom_differences.py   why a judge may differ from the product on them
verdicts.py                      the comparison, and its count
"""
