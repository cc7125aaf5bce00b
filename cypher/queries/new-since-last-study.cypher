// title: Findings that a report denies outright and the patient's next study has
// why: Onset of a finding between two studies of one patient, from the follows edges.
// $finding: string = ""
// $limit: int = 50
// returns: patient: string, before: string, after: string, days: int, concept: string, name: string
MATCH (s:Study)-[f:follows]->(t:Study)-[a:has_absent]->(c:Concept)
WITH s, f, t, c, a.qualified AS narrowed
WHERE narrowed = false AND ($finding = '' OR c.id = $finding OR toLower(c.name) = toLower($finding))
MATCH (s)-[:has_present]->(c)
MATCH (p:Patient)-[:has_study]->(s)
RETURN p.id AS patient, t.id AS before, s.id AS after, f.days AS days, c.id AS concept, c.name AS name
ORDER BY patient, after, concept
LIMIT $limit
