"""The folder that TaTok Inspector opens: manifest, graphs, calibration and golden vectors."""
