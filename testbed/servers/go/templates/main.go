// Renders templates with the real html/template: a line of JSON in, a line of JSON out.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"html/template"
	"log"
	"os"
	"slices"
)

type question struct {
	Template string `json:"template"`
	Event    any    `json:"event"`
}

// answer holds what was written, or why nothing was. `Parsed`: whether only this event was the reason.
type answer struct {
	Body   []byte `json:"body"`
	Error  string `json:"error"`
	Parsed bool   `json:"parsed"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(render(asked)); err != nil {
			log.Fatal(err)
		}
	}
}

func render(asked question) answer {
	parsed, err := template.New("t").Parse(asked.Template)
	if err != nil {
		return answer{Error: err.Error()}
	}
	var body bytes.Buffer
	if err := parsed.Execute(&body, clip(asked.Event)); err != nil {
		return answer{Error: err.Error(), Parsed: true}
	}
	return answer{Body: body.Bytes(), Parsed: true}
}

// clip takes from lists the room for more that json.Unmarshal happens to leave: `slice` could reach into it.
func clip(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = clip(value[i])
		}
		return slices.Clip(value)
	case map[string]any:
		for key := range value {
			value[key] = clip(value[key])
		}
	}
	return value
}
