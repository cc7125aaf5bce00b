// title: How many nodes of each label there are
// why: The first look at a graph: is everything in it that should be?
// returns: label: string, n: int
MATCH (n:Patient) RETURN 'Patient' AS label, count(n) AS n
UNION ALL
MATCH (n:Study) RETURN 'Study' AS label, count(n) AS n
UNION ALL
MATCH (n:Image) RETURN 'Image' AS label, count(n) AS n
UNION ALL
MATCH (n:Observation) RETURN 'Observation' AS label, count(n) AS n
UNION ALL
MATCH (n:Anatomy) RETURN 'Anatomy' AS label, count(n) AS n
UNION ALL
MATCH (n:Concept) RETURN 'Concept' AS label, count(n) AS n
