// title: Studies that say of one finding both that it is there and that it is not
// why: Either the report speaks of two places or times, or the extraction erred: the first list to read by hand.
// $limit: int = 50
// returns: study: string, concept: string, name: string, n_present: int, n_absent: int, narrowed: bool
MATCH (s:Study)-[a:has_absent]->(c:Concept)
MATCH (s)-[p:has_present]->(c)
RETURN s.id AS study, c.id AS concept, c.name AS name, p.n_mentions AS n_present, a.n_mentions AS n_absent, a.qualified AS narrowed
ORDER BY narrowed, study, concept
LIMIT $limit
