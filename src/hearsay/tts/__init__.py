"""Text to a stream of sound: choice of voice, synthesis sentence by sentence."""
