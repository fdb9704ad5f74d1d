"""Everything that is written beside pixels: EXIF, faults, truth, training labels."""
