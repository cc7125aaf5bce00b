// title: Which findings are present in the same studies as a given one
// why: Co-occurrence, counted in studies, present findings only.
// $finding: string = "pleural effusion"
// $limit: int = 20
// returns: concept: string, name: string, n_studies: int
MATCH (a:Concept)<-[:has_present]-(s:Study)-[:has_present]->(b:Concept)
WHERE (a.id = $finding OR toLower(a.name) = toLower($finding)) AND a.id <> b.id
RETURN b.id AS concept, b.name AS name, count(DISTINCT s.id) AS n_studies
ORDER BY n_studies DESC, concept
LIMIT $limit
