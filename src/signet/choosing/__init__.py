"""Which pretrained model suits a dataset: what others published, and what is measured on the images.

published ── accuracies after fine-tuning, ten networks on eight datasets, and scores that foretell them
scores ── `scores_of`: nearest neighbours, LogME, H-score, LEEP and NCE of one candidate
"""
