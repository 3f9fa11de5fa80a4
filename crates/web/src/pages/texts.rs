//! The texts of the pages, in each language.

use std::fmt;

use guarita_core::{Code, Language};

macro_rules! words {
    ($($name:ident: $pt:literal, $es:literal, $en:literal;)+) => {
        /// The texts in one language.
        pub(super) struct Words { $(pub(super) $name: &'static str),+ }

        const PT_BR: Words = Words { $($name: $pt),+ };
        const ES: Words = Words { $($name: $es),+ };
        const EN: Words = Words { $($name: $en),+ };
    };
}

words! {
    choose_language: "Idioma", "Idioma", "Language";
    sign_in: "Entrar", "Iniciar sesión", "Sign in";
    sign_out: "Sair", "Cerrar sesión", "Sign out";
    signed_out_here: "Você saiu daqui. Falta sair também do serviço por onde você entrou.", "Ha cerrado la sesión aquí. Falta cerrarla también donde la inició.", "You are signed out here. You still need to sign out where you signed in.";
    name_or_email: "Usuário ou e-mail", "Usuario o correo electrónico", "User name or e-mail";
    email: "E-mail", "Correo electrónico", "E-mail";
    password: "Senha", "Contraseña", "Password";
    next: "Continuar", "Continuar", "Continue";
    go_on_with: "Continuar com", "Continuar con", "Continue with";
    forgot: "Esqueceu a senha?", "¿Olvidó su contraseña?", "Forgot your password?";
    back_to_sign_in: "Voltar para entrar", "Volver a iniciar sesión", "Back to sign in";

    wrong_credentials: "O usuário ou a senha não conferem.", "El usuario o la contraseña no son correctos.", "The user name or password is incorrect.";
    locked: "Tentativas demais. Espere um pouco e tente de novo.", "Demasiados intentos. Espere un momento e inténtelo de nuevo.", "Too many attempts. Please wait a moment and try again.";
    stale: "Esta página expirou. Tente de novo.", "Esta página ha caducado. Inténtelo de nuevo.", "This page has expired. Please try again.";
    needs_cookies: "Se isso se repetir, permita os cookies deste site.", "Si se repite, permita las cookies de este sitio.", "If this happens again, allow cookies for this site.";
    unavailable: "O serviço não está disponível agora. Tente de novo em instantes.", "El servicio no está disponible ahora. Inténtelo de nuevo en unos instantes.", "The service is currently unavailable. Please try again in a moment.";
    unverified: "Confirme o seu e-mail antes de entrar.", "Confirme su correo electrónico antes de iniciar sesión.", "Confirm your e-mail address before signing in.";
    send_verification: "Receber um novo link de confirmação", "Recibir un nuevo enlace de confirmación", "Get a new confirmation link";
    begin_again: "O tempo acabou. Entre de novo.", "El tiempo se agotó. Inicie sesión de nuevo.", "The time to sign in has expired. Please sign in again.";

    not_signed_in: "Não foi possível entrar", "No se pudo iniciar sesión", "You could not be signed in";
    provider_login_over: "Esta tentativa de entrar não vale mais. Comece de novo.", "Este intento de iniciar sesión ya no es válido. Comience de nuevo.", "This sign-in attempt is no longer valid. Please start again.";
    provider_refused: "A sua identidade não foi confirmada, ou nenhuma conta daqui pode ser usada com ela.", "Su identidad no fue confirmada, o ninguna cuenta de aquí puede usarse con ella.", "Your identity was not confirmed, or no account here can be used with it.";
    if_again: "Se isso se repetir, informe estes dados a quem cuida deste serviço.", "Si se repite, comunique estos datos a quien administra este servicio.", "If this happens again, give these details to the administrator of this service.";
    error_code: "Código", "Código", "Code";
    request_id: "Solicitação", "Solicitud", "Request";

    second_step: "Verificação em duas etapas", "Verificación en dos pasos", "Two-step verification";
    code: "Código", "Código", "Code";
    code_hint: "Os 6 dígitos do seu aplicativo autenticador, ou um dos seus códigos de recuperação.", "Los 6 dígitos de su aplicación de autenticación, o uno de sus códigos de recuperación.", "The 6 digits from your authenticator app, or one of your recovery codes.";
    digits_hint: "Os 6 dígitos que o aplicativo mostra agora.", "Los 6 dígitos que la aplicación muestra ahora.", "The 6 digits that the app shows now.";
    wrong_code: "O código está incorreto ou já foi usado.", "El código no es correcto o ya fue utilizado.", "The code is incorrect or was already used.";

    account: "Sua conta", "Su cuenta", "Your account";
    profile: "Perfil", "Perfil", "Profile";
    user_name: "Usuário", "Usuario", "User name";
    full_name: "Nome completo", "Nombre completo", "Full name";
    roles: "Papéis", "Roles", "Roles";
    none: "nenhum", "ninguno", "none";
    sessions: "Onde você está conectado", "Dónde tiene la sesión iniciada", "Where you are signed in";
    this_session: "esta sessão", "esta sesión", "this session";
    last_used: "último uso", "último uso", "last used";
    unknown_device: "dispositivo desconhecido", "dispositivo desconocido", "unknown device";
    end_session: "Encerrar", "Cerrar", "End";
    end_all: "Sair de todos os lugares", "Cerrar sesión en todas partes", "Sign out everywhere";
    factor_is_on: "A verificação em duas etapas está ativa.", "La verificación en dos pasos está activa.", "Two-step verification is on.";
    factor_is_off: "A verificação em duas etapas não está ativa. Com ela, saber a sua senha não basta para entrar.", "La verificación en dos pasos no está activa. Con ella, conocer su contraseña no basta para entrar.", "Two-step verification is off. With it, knowing your password is not enough to sign in.";
    factor_is_demanded: "A sua conta exige a verificação em duas etapas. Ative-a para continuar.", "Su cuenta exige la verificación en dos pasos. Actívela para continuar.", "Your account requires two-step verification. Turn it on to continue.";
    factor_is_unproven: "A verificação em duas etapas está ativa. Saia e entre de novo com o código.", "La verificación en dos pasos está activa. Cierre la sesión y entre de nuevo con el código.", "Two-step verification is on. Sign out and sign in again with a code.";
    factor_is_unavailable: "A verificação em duas etapas não está disponível aqui.", "La verificación en dos pasos no está disponible aquí.", "Two-step verification is not available here.";
    turn_on: "Ativar", "Activar", "Turn on";
    turn_off: "Desativar", "Desactivar", "Turn off";
    codes_left: "Códigos de recuperação que restam:", "Códigos de recuperación restantes:", "Recovery codes left:";
    scan: "Escaneie este código com o seu aplicativo autenticador.", "Escanee este código con su aplicación de autenticación.", "Scan this code with your authenticator app.";
    qr_code: "Código QR para o aplicativo autenticador", "Código QR para la aplicación de autenticación", "QR code for the authenticator app";
    or_type: "Ou digite esta chave no aplicativo:", "O escriba esta clave en la aplicación:", "Or type this key into the app:";
    proof_needed: "Faz algum tempo que você entrou: confirme com a sua senha.", "Hace un tiempo que inició sesión: confirme con su contraseña.", "You signed in a while ago: confirm with your password.";
    cancel: "Cancelar", "Cancelar", "Cancel";
    recovery_codes: "Códigos de recuperação", "Códigos de recuperación", "Recovery codes";
    keep_codes: "Guarde estes códigos em lugar seguro. Cada um pode ser usado uma vez, no lugar do aplicativo. Eles não serão mostrados de novo.", "Guarde estos códigos en un lugar seguro. Cada uno sirve una vez, en lugar de la aplicación. No se mostrarán de nuevo.", "Keep these codes in a safe place. Each can be used once, instead of the app. They will not be shown again.";
    i_kept_them: "Já guardei", "Ya los guardé", "I have saved them";
    change_password: "Alterar a senha", "Cambiar la contraseña", "Change the password";
    current_password: "Senha atual", "Contraseña actual", "Current password";
    new_password: "Nova senha", "Nueva contraseña", "New password";
    wrong_password: "A senha atual não confere.", "La contraseña actual no es correcta.", "The current password is incorrect.";
    weak_password: "Esta senha é fraca: escolha uma mais longa, ou menos comum.", "Esta contraseña es débil: elija una más larga, o menos común.", "This password is weak: choose a longer or less common one.";
    password_hint: "Uma frase com várias palavras funciona bem.", "Una frase de varias palabras funciona bien.", "A phrase of several words works well.";
    password_changed: "A senha foi alterada, e as outras sessões foram encerradas.", "La contraseña fue cambiada y las demás sesiones se cerraron.", "The password was changed and all other sessions were ended.";

    recover: "Recuperar a conta", "Recuperar la cuenta", "Recover your account";
    recover_text: "Digite o seu e-mail. Se ele for de uma conta, enviaremos um link para escolher uma nova senha.", "Escriba su correo electrónico. Si es de una cuenta, le enviaremos un enlace para elegir una nueva contraseña.", "Enter your e-mail address. If it belongs to an account, we will send a link to choose a new password.";
    send_link: "Enviar o link", "Enviar el enlace", "Send the link";
    link_sent: "Se o endereço for de uma conta, o link está a caminho. Ele vale por pouco tempo; olhe também na caixa de spam.", "Si la dirección es de una cuenta, el enlace está en camino. Vale por poco tiempo; mire también en el correo no deseado.", "If the address belongs to an account, the link is on its way. It is valid for a short time only; check your spam folder too.";
    reset: "Escolher uma nova senha", "Elegir una nueva contraseña", "Choose a new password";
    reset_done: "A senha foi alterada, e todas as sessões foram encerradas. Entre com a nova senha.", "La contraseña fue cambiada y todas las sesiones se cerraron. Inicie sesión con la nueva contraseña.", "The password was changed and all sessions were ended. Sign in with the new password.";
    link_void: "Este link não vale mais. Peça um novo.", "Este enlace ya no es válido. Pida uno nuevo.", "This link is no longer valid. Request a new one.";
    verify: "Confirmar o e-mail", "Confirmar el correo electrónico", "Confirm your e-mail address";
    verify_text: "Para confirmar que este endereço é seu, continue.", "Para confirmar que esta dirección es suya, continúe.", "To confirm that this address is yours, continue.";
    verify_send_text: "Digite o seu e-mail para receber um novo link de confirmação.", "Escriba su correo electrónico para recibir un nuevo enlace de confirmación.", "Enter your e-mail address to get a new confirmation link.";
    verify_done: "O seu e-mail está confirmado.", "Su correo electrónico está confirmado.", "Your e-mail address is confirmed.";
}

impl Words {
    /// The texts in a language.
    pub(super) const fn of(language: Language) -> &'static Self {
        match language {
            Language::PtBr => &PT_BR,
            Language::Es => &ES,
            Language::En => &EN,
        }
    }

    /// The text for a problem code.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what people cannot mend is one thing to them"
    )]
    pub(super) const fn refusal(&self, code: Code) -> &'static str {
        match code {
            Code::InvalidCredentials => self.wrong_credentials,
            Code::InvalidCode => self.wrong_code,
            Code::Locked | Code::RateLimited => self.locked,
            Code::InvalidMfaToken => self.begin_again,
            Code::CsrfFailed => self.stale,
            Code::MfaUnavailable => self.factor_is_unavailable,
            Code::ProofRequired => self.proof_needed,
            Code::EmailUnverified => self.unverified,
            Code::InvalidToken => self.link_void,
            Code::WeakPassword => self.weak_password,
            _ => self.unavailable,
        }
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Words")
    }
}

/// The name of a language in that language.
pub(super) const fn own_name(language: Language) -> &'static str {
    match language {
        Language::PtBr => "Português",
        Language::Es => "Español",
        Language::En => "English",
    }
}
