// title: How many nodes of each label there are
// why: The first look at a graph: is everything in it that should be?
// returns: label: string, n: int
OPTIONAL MATCH (a:Anatomy) WITH count(a) AS anatomies
OPTIONAL MATCH (c:Concept) WITH anatomies, count(c) AS concepts
OPTIONAL MATCH (i:Image) WITH anatomies, concepts, count(i) AS images
OPTIONAL MATCH (o:Observation) WITH anatomies, concepts, images, count(o) AS observations
OPTIONAL MATCH (p:Patient) WITH anatomies, concepts, images, observations, count(p) AS patients
OPTIONAL MATCH (s:Study) WITH anatomies, concepts, images, observations, patients, count(s) AS studies
UNWIND ['Patient', 'Study', 'Image', 'Observation', 'Anatomy', 'Concept'] AS label
RETURN label, CASE label WHEN 'Patient' THEN patients WHEN 'Study' THEN studies WHEN 'Image' THEN images WHEN 'Observation' THEN observations WHEN 'Anatomy' THEN anatomies ELSE concepts END AS n
ORDER BY label
