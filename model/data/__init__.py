"""Data for training and evaluation: images with their texts, labels and other columns.

manifest.py      `Manifest` and its rows; manifests in CSV and Parquet
tables.py        records of a CSV or Parquet file
image_source.py  where the bytes of a row's image lie
label_texts.py   files that give each label its wordings
azure_tsv.py     the TSV files of the fine-tuning notebook on Azure
jsonl_records.py the JSONL files of MedImageInsight Premium's fine-tuning
row_files.py     the reader of a file by its suffix
"""
