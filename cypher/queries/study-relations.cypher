// title: Everything one report relates, as triplets with their presence
// why: Check a study by hand: which finding is where, what modifies it, what it suggests.
// $study: string = "examples:ex001"
// returns: source: string, relation: string, target: string, presence: string, source_id: string, target_id: string
MATCH (s:Study)-[:mentions]->(m:Observation)-[e:located_at|modify|suggestive_of]->(o:Observation|Anatomy) WHERE s.id = $study
RETURN m.text AS source, type(e) AS relation, o.text AS target, e.presence AS presence, m.id AS source_id, o.id AS target_id
ORDER BY source_id, target_id
