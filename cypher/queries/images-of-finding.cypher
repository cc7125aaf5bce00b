// title: The images of studies in which a finding is present
// why: A labelled image list: file, view and size, for training and for looking.
// $finding: string = "pneumothorax"
// $view: string = ""
// $limit: int = 50
// returns: image: string, study: string, view: string, path: string
MATCH (c:Concept)<-[:has_present]-(s:Study)-[:has_image]->(i:Image)
WHERE (c.id = $finding OR toLower(c.name) = toLower($finding)) AND ($view = '' OR i.view = $view)
RETURN DISTINCT i.id AS image, s.id AS study, i.view AS view, i.path AS path
ORDER BY image, study
LIMIT $limit
