-- Sets the passwords of the roles from the environment (psql 15 or newer), so that they stand in no file, no command
-- line and no server log:
--
--     GUICHET_OWNER_PASSWORD=… GUICHET_APP_PASSWORD=… psql -v ON_ERROR_STOP=1 -f deploy/passwords.sql …

\getenv owner_password GUICHET_OWNER_PASSWORD
\getenv app_password GUICHET_APP_PASSWORD
set log_statement = 'none';
set log_min_error_statement = 'panic';
set log_min_duration_statement = -1;
alter role guichet_owner password :'owner_password';
alter role guichet_app password :'app_password';
