"""Kinds of response heads that are trained in torch, one file each."""
