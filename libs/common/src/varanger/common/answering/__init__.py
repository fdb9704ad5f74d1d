"""How a release's models make one answer (docs/decisions/0009): the rule, the vote on background, calibration, boxes.

Pure. Inference answers with it and the trainer measures with it, so that a release's figures are those of its answers.
"""
