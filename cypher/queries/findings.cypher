// title: The most frequent findings and devices, by what the reports say of them
// why: Present, uncertain and absent stand apart: a finding that is mostly denied must not look frequent.
// $kind: string = "observation"
// $limit: int = 20
// returns: concept: string, name: string, n_present: int, n_uncertain: int, n_absent: int
MATCH (c:Concept) WHERE c.kind = $kind
OPTIONAL MATCH (p:Study)-[:has_present]->(c)
WITH c, count(p) AS present
OPTIONAL MATCH (u:Study)-[:has_uncertain]->(c)
WITH c, present, count(u) AS uncertain
OPTIONAL MATCH (a:Study)-[:has_absent]->(c)
WITH c, present, uncertain, count(a) AS absent
WHERE present + uncertain + absent > 0
RETURN c.id AS concept, c.name AS name, present AS n_present, uncertain AS n_uncertain, absent AS n_absent
ORDER BY n_present DESC, n_uncertain DESC, n_absent DESC, concept
LIMIT $limit
