"""Public data sets: one file each, and the file format of MATLAB, which several use."""
