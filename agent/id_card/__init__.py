"""The reader of identity cards (居民身份证, second generation) and what is on them.

What a card says lives in memory, for as long as its caller keeps it.
"""
