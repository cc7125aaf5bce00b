// title: Which observations are read as a sign of which others
// why: The suggestive_of edges: an opacity that may be pneumonia, a change that is due to surgery.
// $limit: int = 30
// returns: sign: string, sign_name: string, suggests: string, suggests_name: string, presence: string, n_studies: int
MATCH (a:Concept)-[e:concept_suggestive_of]->(b:Concept)
RETURN a.id AS sign, a.name AS sign_name, b.id AS suggests, b.name AS suggests_name, e.presence AS presence, e.n_studies AS n_studies
ORDER BY n_studies DESC, sign, suggests, presence
LIMIT $limit
