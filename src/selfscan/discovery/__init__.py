"""Visual words: places that show the same anatomy in many patients, found without labels."""
