// title: Where a finding is said to be, in how many studies, present, uncertain or absent
// why: The located_at edges of the knowledge graph proper, concept to concept.
// $finding: string = "atelectasis"
// $limit: int = 50
// returns: concept: string, finding: string, site: string, anatomy: string, presence: string, n_studies: int
MATCH (c:Concept)-[e:concept_located_at]->(a:Concept)
WHERE c.id = $finding OR toLower(c.name) = toLower($finding)
RETURN c.id AS concept, c.name AS finding, a.id AS site, a.name AS anatomy, e.presence AS presence, e.n_studies AS n_studies
ORDER BY n_studies DESC, concept, site, presence
LIMIT $limit
