"""Client of transcription APIs: one request within a vendor's limits, parts stitched together."""
