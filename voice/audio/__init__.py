"""PCM audio as the core sees it: frames, resampling, companding, levels, voice activity, endpointing."""
