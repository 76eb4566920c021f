"""The classifiers that fully convolutional networks are made from."""
