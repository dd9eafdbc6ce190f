"""Other ways to normalise a whole slide, for `npm run bench:peers`. Research use only, not for primary diagnosis."""
