"""How a release's models make one answer (DESIGN §5): the routing rule, the vote on background, calibration, geometry.

Pure. Inference answers with it and the trainer measures with it, so that a release's figures are those of its answers.
"""
