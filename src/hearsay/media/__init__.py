"""Audio in and out of containers and codecs, in worker processes where bytes are hostile."""
