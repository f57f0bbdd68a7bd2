"""Scores files of scan commands: the guard's verdict on every row, without a device."""
