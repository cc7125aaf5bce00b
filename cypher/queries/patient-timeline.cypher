// title: The studies of one patient in order, with the findings present in each
// why: Follow a patient: what came, stayed and went.
// $patient: string = "examples:p01"
// $limit: int = 200
// returns: study: string, day: date, concept: string, name: string, presence: string
MATCH (p:Patient)-[:has_study]->(s:Study)-[h:has_present|has_uncertain]->(c:Concept)
WHERE p.id = $patient
RETURN s.id AS study, s.date AS day, c.id AS concept, c.name AS name, CASE WHEN type(h) = 'has_present' THEN 'present' ELSE 'uncertain' END AS presence
ORDER BY day, study, concept, presence
LIMIT $limit
