"""Readers of Whisper weights: folders, CTranslate2 files, safetensors, conversion."""
