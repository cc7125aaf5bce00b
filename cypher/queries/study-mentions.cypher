// title: Everything one report mentions, in order, with its concept
// why: Check a study by hand: text, presence, place in the report, link.
// $study: string = "examples:ex001"
// returns: token_start: int, mention: string, text: string, presence: string, section: string, char_start: int, char_end: int, concept: string, name: string
MATCH (s:Study)-[:mentions]->(m:Observation|Anatomy) WHERE s.id = $study
OPTIONAL MATCH (m)-[:linked_to]->(c:Concept)
RETURN m.token_start AS token_start, m.id AS mention, m.text AS text, m.presence AS presence, m.section AS section, m.char_start AS char_start, m.char_end AS char_end, c.id AS concept, c.name AS name
ORDER BY token_start, mention
