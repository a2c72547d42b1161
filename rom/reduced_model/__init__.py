"""ReducedModel: from assemble(mu) to answers with bounds."""
