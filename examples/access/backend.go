// CI does not run this one: it has no access to Go modules.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5" // go get github.com/golang-jwt/jwt/v5
)

// tokenOf returns the user of an account, who is created at the first call, and a token for an hour.
func tokenOf(account, username string) (user struct{ ID string }, token string, err error) {
	body, _ := json.Marshal(map[string]string{"username": username})
	request, err := http.NewRequest("POST", os.Getenv("CHINWAG_URL")+"/users/add", strings.NewReader(string(body)))
	if err != nil {
		return user, "", err
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("CHINWAG_KEY"))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", "account-"+account)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return user, "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		return user, "", fmt.Errorf("users/add was answered %s", answer.Status)
	}
	if err = json.NewDecoder(answer.Body).Decode(&user); err != nil {
		return user, "", err
	}
	pem, err := os.ReadFile(os.Getenv("CHINWAG_PRIVATE_KEY"))
	if err != nil {
		return user, "", err
	}
	key, err := jwt.ParseEdPrivateKeyFromPEM(pem)
	if err != nil {
		return user, "", err
	}
	now := time.Now().Unix()
	unsigned := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"sub": user.ID, "aud": "chinwag", "iat": now, "exp": now + 3600, "scope": "read write chats",
	})
	unsigned.Header["kid"] = "2026-11"
	token, err = unsigned.SignedString(key)
	return user, token, err
}

func main() {
	user, token, err := tokenOf(os.Args[1], os.Args[2])
	if err != nil {
		panic(err)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]string{"user": user.ID, "token": token})
}
