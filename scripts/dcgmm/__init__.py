"""Deep convolutional Gaussian mixture model for stain normalisation: training, export, reference, vectors.

Method: Zanjani et al., MIDL 2018 and MICCAI 2018. Own code, written from the papers; Apache-2.0.
"""
