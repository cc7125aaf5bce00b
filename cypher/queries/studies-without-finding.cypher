// title: The studies whose report denies a finding outright
// why: Negative cohorts. Denials of a narrowed finding only ("no large effusion") are left out: they deny less.
// $finding: string = "pleural effusion"
// $limit: int = 50
// returns: study: string, concept: string, name: string, n_mentions: int
MATCH (s:Study)-[h:has_absent]->(c:Concept)
WHERE (c.id = $finding OR toLower(c.name) = toLower($finding)) AND h.qualified = false
  AND NOT (s)-[:has_present]->(c) AND NOT (s)-[:has_uncertain]->(c)
RETURN s.id AS study, c.id AS concept, c.name AS name, h.n_mentions AS n_mentions
ORDER BY study, concept
LIMIT $limit
