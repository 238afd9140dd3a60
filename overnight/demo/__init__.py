"""The scripted model: a stand-in for the Messages API that plays scenarios; and the demo's own, with its stage."""
