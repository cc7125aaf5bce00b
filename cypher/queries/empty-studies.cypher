// title: Studies without text to annotate, and how many images they have
// why: Empty reports are normal; this is where to find them before a model is trained on nothing.
// $limit: int = 50
// returns: study: string, path: string, n_images: int
MATCH (s:Study) WHERE s.n_tokens = 0
OPTIONAL MATCH (s)-[:has_image]->(i:Image)
WITH s, count(i) AS images
RETURN s.id AS study, s.path AS path, images AS n_images
ORDER BY study
LIMIT $limit
