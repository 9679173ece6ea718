from .study import Bench as Bench, Findings as Findings, Study as Study
